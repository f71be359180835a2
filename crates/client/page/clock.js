// A timer that keeps time while its page is hidden: browsers slow a hidden page's timers to one a second, and
// leave a worker's alone. The page posts a delay in milliseconds; a new one replaces the last.
let timer;
onmessage = (event) => {
  clearTimeout(timer);
  timer = setTimeout(() => postMessage(null), event.data);
};
