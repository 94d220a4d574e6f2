// A link to a method opens its fold.
"use strict";
(() => {
  const open = () => {
    const fold = document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
    if (fold) fold.open = true;
  };
  window.addEventListener("hashchange", open);
  open();
})();
