// Runs in the browser, once for each view of a widget, with an image inside it. ipywidgets gives
// the handle of a slider and the buttons of Play no names, and a handle the value "4" where the
// reader sees "learning rate 0.1": both are set here. And while the picture does not belong to the
// settings beside it (the kernel is at work, busy or gone), the widget gets the class bnlib-stale.
// JupyterLab takes the arrow keys and letters of a focused menu for its own shortcuts (ArrowDown: next
// cell; b: a new cell): there they are kept from it.
(image) => {
  const WAIT = 250; // ms without a new picture: an answer that comes at once needs no sign
  const BUTTONS = {"fa-play": "Play the film", "fa-pause": "Pause the film", "fa-stop": "Stop, back to the start", "fa-retweet": "Repeat"};
  const set = (node, name, value) => {
    if (node && node.getAttribute(name) !== value) node.setAttribute(name, value);
  };
  const same = (shown, wanted) => typeof wanted === "number"
    ? Math.abs(parseFloat(shown.replace("\u2212", "-")) - wanted) < 0.0051 // two decimals, rounded
    : shown === String(wanted);
  const keys = (event) => { // before JupyterLab, which listens at the document
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
    if (plain && event.target.matches?.(".bnlib-widget select")) event.stopPropagation();
  };
  if (!window.bnlibKeys) window.addEventListener("keydown", window.bnlibKeys = keys, true);
  const watch = (widget) => {
    let timer = 0, latest = null;
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
