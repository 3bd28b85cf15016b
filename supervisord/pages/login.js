"use strict";

// The token travels in a header, so that it never stands in an address; without scripts the form sends `?token=`.
const form = document.querySelector("form");
const field = document.querySelector("#token");
const button = document.querySelector("button");
const error = document.querySelector(".error");

function say(text) {
  error.textContent = text;
  error.hidden = !text;
}

// A header holds bytes: the text's UTF-8, one character a byte.
function bytes(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  say("");
  try {
    const answer = await fetch("/.firstlight/login", {
      method: "POST",
      headers: { Authorization: "Bearer " + bytes(field.value.trim()) },
    });
    if (answer.ok) {
      location.reload();
      return;
    }
    say(answer.status === 401 ? "This is not the token." : "Signing in failed (" + answer.status + ").");
  } catch {
    say("The machine does not answer. Is it still running?");
  }
  button.disabled = false;
  field.select();
});
