"use strict";
// The language of both pages: what was chosen last, else what the browser asks for.
const language = {
  get() {
    let chosen = null;
    try { chosen = localStorage.getItem("rollcall.language"); } catch { /* no storage: ask the browser */ }
    return chosen === "en" || chosen === "zh" ? chosen : (navigator.language || "en").startsWith("zh") ? "zh" : "en";
  },
  set(name) {
    try { localStorage.setItem("rollcall.language", name); } catch { /* it lasts as long as the page */ }
    language.show(name);
  },
  show(name) {
    document.documentElement.lang = name;
    const button = document.getElementById("language");
    button.textContent = name === "en" ? "中文" : "English";
    button.lang = "";
    button.setAttribute("aria-label", name === "en" ? "切换到中文" : "Switch to English");
  },
};
language.show(language.get());
document.getElementById("language").addEventListener("click", () => {
  language.set(document.documentElement.lang === "en" ? "zh" : "en");
  document.dispatchEvent(new Event("languagechange"));
});
