/** How the keys that open the search are written on this machine. */

const isApple = /Mac|iPhone|iPad/.test(navigator.platform);

export const findKeys = isApple ? "⌘ K" : "Ctrl K";

export const sendKeys = isApple ? "⌘ ↵" : "Ctrl ↵";
