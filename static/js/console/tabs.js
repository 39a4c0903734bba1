// Tabs are radio buttons that need no script; here the browser remembers which one was chosen last.
export function rememberTabs(root) {
  for (const tab of root.querySelectorAll(".tab")) {
    if (read(tab.name) === tab.value) tab.checked = true;
  }
  root.addEventListener("change", ({ target }) => {
    if (target.classList.contains("tab")) write(target.name, target.value);
  });
}

function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage is switched off
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // the choice holds for this page only
  }
}
