// Runs in the browser, once for each view of a widget, with an image inside it. ipywidgets gives
// the handle of a slider and the buttons of Play no names, and a handle the value "4" where the
// reader sees "learning rate 0.1": both are set here. The arrow keys are kept for them. And while the
// picture does not belong to the settings beside it (the kernel is at work, busy or gone), the widget
// gets the class bnlib-stale. And a screen reader hears the alt text of a new picture.
(image) => {
  const WAIT = 250; // ms without a new picture: an answer that comes at once needs no sign
  const REST = 800; // ms without a new picture: neither a hand on a slider nor a film or training is under way
  const BUTTONS = {"fa-play": "Play the film", "fa-pause": "Pause the film", "fa-stop": "Stop, back to the start", "fa-retweet": "Repeat"};
  // Jupyter goes to another cell by an arrow key before a list sees it and, in Notebook 7, before a
  // slider does. So a key alone belongs to the list or slider that has the focus; Ctrl S, Shift Enter
  // and the like stay Jupyter's.
  const OURS = ".bnlib-widget .noUi-handle, .bnlib-widget select";
  if (!window.bnlibKeys) {
    window.bnlibKeys = (event) => {
      if (!event.target.matches?.(OURS)) return;
      const alone = !(event.ctrlKey || event.altKey || event.metaKey || event.shiftKey);
      event.target.toggleAttribute("data-lm-suppress-shortcuts", alone);
    };
    window.addEventListener("keydown", window.bnlibKeys, true); // before Jupyter's own, at the document
  }
  const set = (node, name, value) => {
    if (node && node.getAttribute(name) !== value) node.setAttribute(name, value);
  };
  const same = (shown, wanted) => typeof wanted === "number"
    ? Math.abs(parseFloat(shown.replace("\u2212", "-")) - wanted) < 0.0051 // two decimals, rounded
    : shown === String(wanted);
  const watch = (widget) => {
    const said = widget.querySelector(".bnlib-said"); // it stays: what is said by a new one is not heard
    let timer = 0, latest = null, rest = 0, heard = null;
    const say = (alt) => {
      clearTimeout(rest);
      rest = setTimeout(() => { said.textContent = alt; }, REST);
    };
    const settle = () => {
      clearTimeout(timer); timer = 0;
      if (widget.classList.contains("bnlib-stale")) widget.classList.remove("bnlib-stale"); // removing nothing calls look
    };
    const look = () => {
      const picture = widget.querySelector("img[data-shows]");
      const wanted = picture ? JSON.parse(picture.dataset.shows) : {};
      let stale = false;
      for (const control of widget.querySelectorAll(".widget-hslider, .widget-dropdown, .widget-checkbox")) {
        const label = control.querySelector(".widget-label, .widget-label-basic")?.textContent.trim();
        const handle = control.querySelector(".noUi-handle"), readout = control.querySelector(".widget-readout");
        const select = control.querySelector("select"), box = control.querySelector("input[type=checkbox]");
        const shown = select ? select.selectedOptions[0]?.text.replaceAll("\u00a0", " ")
          : box ? String(box.checked) : readout?.textContent;
        set(handle, "aria-label", label);
        set(handle, "aria-valuetext", shown);
        set(readout, "aria-label", label + ", as text");
        if (label in wanted && !same(shown ?? "", wanted[label])) stale = true;
      }
      for (const button of widget.querySelectorAll(".widget-play button")) {
        const name = BUTTONS[button.querySelector("i")?.classList[1]];
        if (name) { set(button, "aria-label", name); set(button, "title", name); }
      }
      if (picture && picture.alt !== heard) {
        if (heard !== null) say(picture.alt); // not the first one: ten widgets would speak at once
        heard = picture.alt;
      }
      if (picture !== latest || !stale) settle();
      latest = picture;
      if (stale && !timer) timer = setTimeout(() => widget.classList.add("bnlib-stale"), WAIT);
    };
    new MutationObserver(look).observe(widget, {
      subtree: true, childList: true, characterData: true,
      attributes: true, attributeFilter: ["aria-valuetext", "class"], // Play turns into Pause by its class
    });
    widget.addEventListener("change", look);
    look();
  };
  const start = (tries) => { // the image can be loaded before its view is in the page
    const widget = image.closest(".bnlib-widget");
    if (widget) watch(widget);
    else if (tries) setTimeout(() => start(tries - 1), 100);
  };
  start(100);
}
