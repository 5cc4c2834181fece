import { createPinia } from "pinia";
import { createApp } from "vue";
import "element-plus/theme-chalk/base.css";
import "element-plus/theme-chalk/dark/css-vars.css";
import "./styles/tokens.css";
import "./styles/base.css";
import App from "./App.vue";
import { router } from "./routes";
import { firstLanguage, speak, words } from "./words";

speak(firstLanguage());
createApp(App).use(createPinia()).use(words).use(router).mount("#app");
