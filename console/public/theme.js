// Before the first paint, so that no page flashes: which theme was chosen, or the machine's own.
{
  const chosen = localStorage.getItem("unspool.theme");
  const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", isDark);
}
