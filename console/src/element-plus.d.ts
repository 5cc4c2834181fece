declare module "element-plus/theme-chalk/*.css";
declare module "element-plus/es/components/switch/index.mjs" {
  export { ElSwitch } from "element-plus";
}
declare module "element-plus/es/components/slider/index.mjs" {
  export { ElSlider } from "element-plus";
}
declare module "element-plus/es/components/message/index.mjs" {
  export { ElMessage } from "element-plus";
}
