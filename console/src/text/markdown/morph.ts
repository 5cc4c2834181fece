/** Make a tree of nodes like another one, and keep each node that is alike: a selection stays. */
export function morph(old: Node, next: Node): Node {
  if (old.nodeName !== next.nodeName) {
    old.parentNode?.replaceChild(next, old);
    return next;
  }
  if (old instanceof Text && next instanceof Text) {
    if (next.data.startsWith(old.data)) old.appendData(next.data.slice(old.length));
    else old.data = next.data;
  } else if (old instanceof Element && next instanceof Element) {
    const source = next.getAttribute("data-source");
    // A formula may have been typeset since.
    if (source !== null && source === old.getAttribute("data-source")) return old;
    copyAttributes(old, next);
    const nodes = [...next.childNodes];
    nodes.forEach((node, at) => {
      const before = old.childNodes[at];
      if (before === undefined) old.appendChild(node);
      else morph(before, node);
    });
    while (old.childNodes.length > nodes.length) old.lastChild?.remove();
  }
  return old;
}

function copyAttributes(old: Element, next: Element): void {
  for (const name of old.getAttributeNames()) {
    // The layout places gutters by their style.
    if (name !== "style" && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const name of next.getAttributeNames()) {
    const value = next.getAttribute(name) ?? "";
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}
