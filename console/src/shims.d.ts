declare module "element-plus/theme-chalk/*.css";
declare module "element-plus/es/components/message/index.mjs" {
  export { ElMessage } from "element-plus";
}
