// Requests to seeingkit on this machine: one action after the other, with a line about its work.

const root = document.documentElement, status = document.getElementById("status");
const stop = document.getElementById("stop");
let queue = Promise.resolve(), open = 0;

export function say(words, fault = false) {
  status.textContent = words;
  status.classList.toggle("fault", fault);
}

/** The answer to a request; throws an error with the server's own words. */
export async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers });
  } catch {
    throw new Error("seeingkit does not answer: is seeingkit edit still running?");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer;
}

/** Work after all that was asked for before; a fault is said, and gives null. */
export function inTurn(work, words = "") {
  const before = queue;
  const done = (async () => {
    await before;
    open += 1;
    root.dataset.busy = "true";
    const watch = watched(words);
    try {
      const found = await work();
      watch.end();
      return found;
    } catch (error) {
      watch.end();
      say(error.message, true);
      return null;
    } finally {
      open -= 1;
      root.dataset.busy = String(open > 0);
    }
  })();
  queue = done;
  return done;
}

/** Shows how far the work is, while it lasts longer than a moment. */
function watched(words) {
  let over = false;
  const look = async () => {
    if (over) return;
    stop.hidden = false;
    say(`${words || "working"} …`);
    while (!over) {
      try {
        const line = (await (await fetch("doing")).text()).trim();
        if (line && !over) say(`${line} …`);
      } catch { /* the action itself will tell */ }
      await new Promise((done) => setTimeout(done, 300));
    }
  };
  const timer = setTimeout(look, 250);
  return {
    end() {
      over = true;
      clearTimeout(timer);
      stop.hidden = true;
    },
  };
}

stop.addEventListener("click", () => ask("stop", {}).catch((error) => say(error.message, true)));
