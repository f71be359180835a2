// Starts the client. Everything it does is in interplay_bg.wasm.
import start from "./interplay.js";

start({ module_or_path: new URL("interplay_bg.wasm", import.meta.url) }).catch((error) => {
  console.error(error);
  document.querySelector("#connecting p").textContent =
    "This browser cannot show the page. Please use a current version of Chrome, Edge, Firefox or Safari.";
});
