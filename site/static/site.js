// Two things that the widgets expect of a page and this theme does otherwise.

// A Play button changes the class of its <i>, and FontAwesome replaces each <i> by an <svg>: have
// it put the <svg> inside. This holds whether FontAwesome is there already or comes later.
window.FontAwesomeConfig = Object.assign(window.FontAwesomeConfig ?? {}, {autoReplaceSvg: "nest"});

// The widgets typeset their labels as MathJax 2 did. MathJax 3 comes deferred, thus before this event.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.MathJax) return; // a page without formulas
  MathJax.Hub = {Queue: ([, , element]) => MathJax.startup.promise.then(() => MathJax.typesetPromise([element]))};
});
