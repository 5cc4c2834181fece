/** Words of signing in and out. */

export const zh = {
  title: "登录",
  wanted: "这台服务器要密钥。登录后接着打开你要的页面。",
  key: "密钥",
  enter: "登录",
  without: "没有密钥？请管理员做一个，或在服务器上运行：",
  out: "退出",
  person: "用单位账号登录",
  orKey: "或者用密钥：",
  role_viewer: "只能看",
  role_member: "成员",
  role_admin: "管理员",
  failed_provider: "登录的地方没有正常回应，没能登录。过一会儿再试；还不行就请管理员看服务器日志。",
  failed_stale: "这次登录放太久了，或是在别的窗口开始的。再登录一次。",
  failed_refused: "你的账号不能用这台服务器。请管理员把你加进组里。",
};

export const en = {
  title: "Sign in",
  wanted: "This server wants a key. The page that you asked for opens after it.",
  key: "Key",
  enter: "Sign in",
  without: "No key? Ask an admin for one, or run this on the server:",
  out: "Sign out",
  person: "Sign in with your organisation",
  orKey: "Or with a key:",
  role_viewer: "may look",
  role_member: "member",
  role_admin: "admin",
  failed_provider:
    "The place where you sign in did not answer as it should. Try later, or ask an admin for the log.",
  failed_stale: "That sign-in took too long, or began in another window. Sign in again.",
  failed_refused: "Your account may not use this server. Ask an admin to add you to a group.",
};
