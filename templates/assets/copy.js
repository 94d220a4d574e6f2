// A click on a figure's link copies its address. Without a clipboard, or without this script, the link opens.
"use strict";
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.copy");
  if (!link || !navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.ariaLive = "polite";
  const words = link.textContent;
  try {
    await navigator.clipboard.writeText(link.href);
    link.textContent = "Link copied";
    setTimeout(() => (link.textContent = words), 2000);
  } catch {
    location.href = link.href;
  }
});
