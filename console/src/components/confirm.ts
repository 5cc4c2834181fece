/** Asks before something is lost; Escape and the click beside the box mean no. */

import { i18n } from "@/i18n";

/** Ask `question`; true if the button with the word `yes` was pressed. */
export function confirmed(question: string, yes: string): Promise<boolean> {
  const { t } = i18n.global;
  const box = document.createElement("dialog");
  box.className = "modal confirm";
  box.setAttribute("aria-label", question);
  const text = document.createElement("p");
  text.textContent = question;
  const foot = document.createElement("div");
  foot.className = "foot";
  foot.append(button(t("act.close"), "btn", ""), button(yes, "btn bad", "yes"));
  box.append(text, foot);
  document.body.append(box);
  return new Promise((resolve) => {
    box.addEventListener("click", ({ target }) => {
      if (target === box) box.close("");
      else if (target instanceof HTMLButtonElement) box.close(target.value);
    });
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue === "yes");
    });
    box.showModal();
  });
}

function button(label: string, name: string, value: string): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  made.value = value;
  made.textContent = label;
  return made;
}
