// Two things that the widgets expect of a page and this theme does otherwise.

// The theme's FontAwesome replaces each <i> by an <svg>, also later ones. A Play button would then
// lose the <i> whose class it changes. Let it draw the page's own icons and leave it at that: the
// widgets bring a font with theirs. This holds whether FontAwesome is there already or comes later.
window.FontAwesomeConfig = Object.assign(window.FontAwesomeConfig ?? {}, {observeMutations: false});

// The widgets typeset their labels as MathJax 2 did. MathJax 3 comes deferred, thus before this event.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.MathJax) return; // a page without formulas
  MathJax.Hub = {Queue: ([, , element]) => MathJax.startup.promise.then(() => MathJax.typesetPromise([element]))};
});
