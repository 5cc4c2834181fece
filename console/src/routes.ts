/** Addresses of the pages. `src/unspool/console.py` serves these and no others. */

import { createRouter, createWebHistory } from "vue-router";

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", redirect: "/runs" },
    { path: "/runs", name: "runs", component: () => import("@/pages/RunsPage.vue") },
    { path: "/runs/:id", name: "run", component: () => import("@/pages/RunPage.vue"), props: true },
    {
      path: "/view/:id",
      name: "view",
      component: () => import("@/pages/RunPage.vue"),
      props: (route) => ({ id: route.params.id, readOnly: true }),
    },
    {
      path: "/share/:token",
      name: "share",
      component: () => import("@/pages/SharePage.vue"),
      props: true,
    },
    {
      path: "/pages/debug.html",
      name: "debug",
      component: () => import("@/pages/DebugPage.vue"),
    },
    { path: "/debug", redirect: ({ query }) => ({ name: "debug", query }) },
    { path: "/cases", name: "cases", component: () => import("@/pages/CasesPage.vue") },
    { path: "/copy", name: "copy", component: () => import("@/pages/CopyPage.vue") },
    {
      path: "/experiments",
      name: "experiments",
      component: () => import("@/pages/ExperimentsPage.vue"),
    },
    {
      path: "/extraction",
      name: "extraction",
      component: () => import("@/pages/ExtractionPage.vue"),
    },
    { path: "/graph", name: "graph", component: () => import("@/pages/GraphPage.vue") },
    { path: "/story", name: "stories", component: () => import("@/pages/StoriesPage.vue") },
    {
      path: "/story/:id",
      name: "story",
      component: () => import("@/pages/StoryPage.vue"),
      props: true,
    },
    { path: "/models", name: "models", component: () => import("@/pages/ModelsPage.vue") },
    { path: "/prompts", name: "prompts", component: () => import("@/pages/PromptsPage.vue") },
    { path: "/tools", name: "tools", component: () => import("@/pages/ToolsPage.vue") },
    { path: "/data", redirect: "/data/products" },
    {
      path: "/data/:tab(products|behaviors|people|import)",
      name: "data",
      component: () => import("@/pages/DataPage.vue"),
      props: true,
    },
    { path: "/usage", name: "usage", component: () => import("@/pages/UsagePage.vue") },
    { path: "/guide", name: "guide", component: () => import("@/pages/GuidePage.vue") },
    { path: "/keys", name: "keys", component: () => import("@/pages/KeysPage.vue") },
    { path: "/settings", name: "settings", component: () => import("@/pages/SettingsPage.vue") },
    { path: "/flows", name: "flows", component: () => import("@/pages/FlowsPage.vue") },
    { path: "/states", name: "states", component: () => import("@/pages/StatesPage.vue") },
    { path: "/:rest(.*)*", redirect: "/runs" },
  ],
});
