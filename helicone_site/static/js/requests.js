// The requests list: asks for news only while somebody looks, and says whether they are at the top.
"use strict";

document.addEventListener("htmx:configRequest", (event) => {
  const asker = event.detail.elt;
  if (asker.id !== "news" && asker.id !== "summary") return;
  if (document.hidden) event.preventDefault();
  if (asker.id === "news" && window.scrollY < 40 && !document.querySelector("#list details[open]")) event.detail.parameters.top = "1";
});
