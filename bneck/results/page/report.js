"use strict";
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const library = document.createElement("script");
  library.textContent = await new Response(stream).text();
  document.head.append(library);

  const root = document.documentElement;
  const draw = (paper = false) => {
    root.classList.toggle("paper", paper);
    const style = getComputedStyle(root);
    const font = getComputedStyle(document.body).fontFamily;
    for (const data of document.querySelectorAll("script[data-for]")) {
      const figure = JSON.parse(data.textContent, (key, value) =>
        typeof value === "string" && value.startsWith("var(")
          ? style.getPropertyValue(value.slice(4, -1)).trim()
          : value);
      figure.layout.font.family = font;
      if (paper) Object.assign(figure.layout, { width: 680, height: 360 });
      Plotly.react(data.dataset.for, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
    root.dataset.drawn = "yes";
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("beforeprint", () => draw(true));
  addEventListener("afterprint", () => draw());
})();
