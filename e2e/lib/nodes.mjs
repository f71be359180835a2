// What is asked of nodes, and waiting for the answer.

/** Whether the node at this address runs the stage. */
export const hasTheStage = (url) =>
  fetch(`${url}/metrics`).then((answer) => answer.text()).then((text) => text.includes("interplay_stage_owner 1"), () => false);

/** Waits until something holds, and says for how many milliseconds. */
export async function soon(what, holds, seconds = 20) {
  const began = Date.now();
  while (!(await holds())) {
    if (Date.now() - began > seconds * 1000) throw new Error(`waited ${seconds} s until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Date.now() - began;
}
