import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SERVER = process.env.UNSPOOL_URL ?? "http://127.0.0.1:8000";
const PATHS = [
  "/v1",
  "/api",
  "/ai",
  "/healthz",
  "/readyz",
  "/docs",
  "/docs-files",
  "/openapi.json",
];

export default defineConfig({
  plugins: [vue()],
  resolve: {
    alias: [
      { find: /^unspool-client$/, replacement: at("../clients/typescript/src/index.ts") },
      { find: /^unspool-client\/(.*)$/, replacement: at("../clients/typescript/src/$1.ts") },
      { find: "@", replacement: at("./src") },
    ],
  },
  define: {
    __VUE_OPTIONS_API__: false,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
    __INTLIFY_JIT_COMPILATION__: true,
  },
  build: {
    outDir: at("../src/unspool/server/_console"),
    emptyOutDir: true,
    target: "es2022",
    // The pages' policy allows `data:` for images only, and no code within the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: Object.fromEntries(PATHS.map((path) => [path, { target: SERVER, ws: path === "/v1" }])),
  },
});
