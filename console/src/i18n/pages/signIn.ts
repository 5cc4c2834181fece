/** Words of signing in and out. */

export const zh = {
  title: "登录",
  wanted: "这台服务器要密钥。登录后接着打开你要的页面。",
  key: "密钥",
  enter: "登录",
  without: "没有密钥？请管理员做一个，或在服务器上运行：",
  browser: "这个浏览器",
  out: "退出",
  outHow: "退出后要再输密钥才能用这些页面。密钥本身还能用。",
};

export const en = {
  title: "Sign in",
  wanted: "This server wants a key. The page that you asked for opens after it.",
  key: "Key",
  enter: "Sign in",
  without: "No key? Ask an admin for one, or run this on the server:",
  browser: "This browser",
  out: "Sign out",
  outHow: "After you sign out it asks for a key again. The key itself still holds.",
};
