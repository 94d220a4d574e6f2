// A dialog that is in the page only while it is open. A click beside it, Esc, or its button "close" closes it.
"use strict";
/* html: its content. Returns the dialog and a function that opens it; the browser restores the focus when it closes. */
window.cnnvizDialog = (className, label, html) => {
  const dialog = document.createElement("dialog");
  dialog.className = className;
  dialog.setAttribute("aria-label", label);
  dialog.innerHTML = html;
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.name === "close") dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  const open = () => {
    document.body.append(dialog);
    dialog.showModal();
  };
  return [dialog, open];
};
