"use strict";
// Asks the server what the forms want to know, and shows its answers.
async function ask(verb, request) {
  const answer = await fetch(`ask/${verb}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function nearest(holder, { found }) {
  const list = make("ol");
  found.forEach(([word, cosine]) => list.append(make("li", { textContent: `${word}  ${cosine.toFixed(3)}` })));
  holder.append(list);
}

const SHOWN = {
  neighbors: nearest,
  analogy: nearest,
  walk,
  draw: moving,
  say: (holder, { path }) => sentence(holder, path),
};

function note(holder, found) {
  const gone = found.unknown;
  if (gone) holder.prepend(make("p", { className: "note", textContent: `${gone} words are not in the vocabulary` }));
}

document.querySelectorAll("form[data-verb]").forEach((form) => {
  const verb = form.dataset.verb, problem = form.nextElementSibling, holder = problem.nextElementSibling;
  let number = 0, charts;
  const go = async (more = {}, start = null) => {
    const request = { ...more };
    for (const field of form.elements) {
      if (field.name) request[field.name] = field.type === "number" ? Number(field.value) : field.value;
    }
    const mine = ++number;
    try {
      const found = await ask(verb, request);
      if (mine !== number) return;
      problem.textContent = "";
      const fresh = make("div");
      holder.replaceChildren(fresh); // charts take the size of their place
      if (verb === "sentence") {
        const hidden = new Set(found.hidden), gaps = new Set(found.gaps);
        charts = sentence(fresh, found.path, {
          start,
          old: charts,
          toggled: (i) => {
            if (gaps.has(i)) return;
            if (hidden.has(i)) hidden.delete(i); else hidden.add(i);
            go({ hidden: [...hidden] }, Number(fresh.dataset.time));
          },
        });
      } else SHOWN[verb](fresh, found);
      note(fresh, found);
      form.dataset.answered = mine;
    } catch (error) {
      if (mine === number) problem.textContent = error.message;
    }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); go(); });
  go();
});
