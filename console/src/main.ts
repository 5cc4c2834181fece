import { createPinia } from "pinia";
import { createApp } from "vue";
import "element-plus/theme-chalk/base.css";
import "element-plus/theme-chalk/dark/css-vars.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/controls.css";
import "./styles/states.css";
import "./styles/text.css";
import "./styles/elements.css";
import "./styles/narrow.css";
import App from "./App.vue";
import { applyLanguage, i18n, initialLanguage } from "./i18n";
import { router } from "./routes";

applyLanguage(initialLanguage());
createApp(App).use(createPinia()).use(i18n).use(router).mount("#app");
