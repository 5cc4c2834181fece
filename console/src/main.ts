import { createPinia } from "pinia";
import { createApp } from "vue";
import "element-plus/theme-chalk/base.css";
import "element-plus/theme-chalk/dark/css-vars.css";
import "./styles/tokens.css";
import "./styles/base.css";
import App from "./App.vue";
import { applyLanguage, initialLanguage, words } from "./i18n";
import { router } from "./routes";

applyLanguage(initialLanguage());
createApp(App).use(createPinia()).use(words).use(router).mount("#app");
