// Starts the client. Everything it does is in interplay_bg.wasm.
import start from "./interplay.js";

start({ module_or_path: new URL("interplay_bg.wasm", import.meta.url) }).catch((error) => {
  console.error(error);
  document.querySelector("#connecting .pulse").hidden = true;
  for (const line of document.querySelectorAll("#connecting p")) {
    line.hidden = line.dataset.text !== "unsupported";
  }
});
