// Leaves at once. Without this the way out is a plain link.
(function () {
  "use strict";
  var out = document.querySelector("a.leave"), status = document.querySelector(".leaving"), body = document.body;
  if (!out || !status) return;
  var presses = 0, alone = false, timer;

  // No data-on…: html/template takes what follows for a script.
  function say(name) {
    status.textContent = name ? out.getAttribute("data-" + name) : "";
    status.setAttribute("data-presses", presses);
  }
  function reset(name) {
    clearTimeout(timer);
    presses = 0;
    say(name);
  }
  function leave() {
    presses = 3;
    say("activated");
    body.classList.add("gone");
    location.replace(navigator.onLine === false ? "/leave" : out.href);
  }
  out.addEventListener("click", function (e) {
    if (e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    leave();
  });
  document.addEventListener("keydown", function (e) {
    if (e.key === "Shift") {
      if (!e.repeat) alone = true;
      return;
    }
    alone = false;
    if (presses && e.key !== "Control" && e.key !== "Alt") reset();
  });
  document.addEventListener("keyup", function (e) {
    if (e.key !== "Shift" || !alone) return;
    alone = false;
    clearTimeout(timer);
    presses++;
    if (presses > 2) return leave();
    say(presses === 1 ? "twice" : "again");
    timer = setTimeout(function () { reset("late"); }, 5000);
  });
  addEventListener("pageshow", function () {
    body.classList.remove("gone");
    reset();
  });
})();
