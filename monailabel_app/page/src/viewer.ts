/** The picture: zoom and pan by OpenLayers, grey values through a window, points as buttons on top of it. */

import Map from "ol/Map";
import View from "ol/View";
import { createEmpty, getCenter } from "ol/extent";
import { defaults } from "ol/interaction/defaults";
import ImageLayer from "ol/layer/Image";
import Projection from "ol/proj/Projection";
import ImageCanvasSource from "ol/source/ImageCanvas";
import type { Pixel, Point, Points } from "./points";
import { titleOf } from "./points";
import type { Grey, Window } from "./window";
import { table } from "./window";

export interface Hands {
  selected(name: string): void;
  /** `done` once the button is let go. */
  moved(name: string, to: Pixel, done: boolean): void;
  windowed(level: number, width: number): void;
  placed(at: Pixel): void;
}

export function shade(confidence: number): "high" | "middle" | "low" {
  return confidence >= 0.8 ? "high" : confidence >= 0.5 ? "middle" : "low";
}

export class Viewer {
  private readonly map: Map;
  private readonly marks: HTMLElement;
  private readonly shown = document.createElement("canvas");
  private grey: Grey | null = null;
  private layer: ImageLayer<ImageCanvasSource> | null = null;
  private points: Points = [];
  private drag: { name: string; by: Pixel } | null = null;
  private due = 0;

  constructor(private readonly place: HTMLElement, private readonly hands: Hands) {
    this.map = new Map({
      target: place,
      controls: [],
      interactions: defaults({ keyboard: false, doubleClickZoom: false, altShiftDragRotate: false, pinchRotate: false, shiftDragZoom: false }),
    });
    this.marks = document.createElement("div");
    this.marks.className = "marks";
    this.map.getViewport()!.append(this.marks);
    this.map.on("postrender", () => this.arrange());
    place.addEventListener("contextmenu", (event) => event.preventDefault());
    place.addEventListener("pointerdown", (event) => this.turn(event), true);
    place.addEventListener("click", (event) => {
      if (event.shiftKey) this.hands.placed(this.pixelAt(event));
    });
  }

  open(grey: Grey, window: Window): void {
    const { rows, columns } = grey;
    const extent = [-0.5, 0.5 - rows, columns - 0.5, 0.5];
    const projection = new Projection({ code: "pixels", units: "pixels", extent });
    this.grey = grey;
    [this.shown.width, this.shown.height] = [columns, rows];
    if (this.layer !== null) this.map.removeLayer(this.layer);
    const source = new ImageCanvasSource({
      projection,
      ratio: 1,
      canvasFunction: (wanted, resolution, _ratio, size) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [Math.round(size[0]!), Math.round(size[1]!)];
        const pen = canvas.getContext("2d")!;
        pen.imageSmoothingQuality = "high";
        const scale = canvas.width / (wanted[2]! - wanted[0]!);
        pen.setTransform(scale, 0, 0, scale, -wanted[0]! * scale, wanted[3]! * scale);
        pen.imageSmoothingEnabled = resolution > 0.25;
        pen.drawImage(this.shown, -0.5, -0.5);
        return canvas;
      },
    });
    this.layer = new ImageLayer({ source });
    this.map.addLayer(this.layer);
    this.map.setView(new View({ projection, extent: grown(extent), showFullExtent: true, center: getCenter(extent), resolution: 1, minResolution: 1 / 32, maxResolution: Math.max(rows, columns) / 200 }));
    this.look(window);
    this.fit();
  }

  close(): void {
    if (this.layer !== null) this.map.removeLayer(this.layer);
    this.layer = null;
    this.grey = null;
    this.show([], null, true);
  }

  look(window: Window): void {
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => {
      if (this.grey === null) return;
      const { rows, columns, values } = this.grey;
      const colours = table(window);
      const image = new ImageData(columns, rows);
      const pixels = new Uint32Array(image.data.buffer);
      for (let k = 0; k < values.length; k++) pixels[k] = colours[values[k]!]!;
      this.shown.getContext("2d")!.putImageData(image, 0, 0);
      this.layer?.getSource()?.changed();
    });
  }

  fit(): void {
    this.map.updateSize();
    if (this.grey !== null) this.map.getView().fit([-0.5, 0.5 - this.grey.rows, this.grey.columns - 0.5, 0.5], { padding: [12, 12, 12, 12] });
  }

  zoom(by: number): void {
    const view = this.map.getView();
    view.animate({ zoom: (view.getZoom() ?? 0) + by, duration: 120 });
  }

  toward([u, v]: Pixel): void {
    const at = this.map.getPixelFromCoordinate([u, -v]);
    const [width = 0, height = 0] = this.map.getSize() ?? [];
    const near = at && at[0]! > 40 && at[1]! > 40 && at[0]! < width - 40 && at[1]! < height - 40;
    if (!near) this.map.getView().animate({ center: [u, -v], duration: 120 });
  }

  middle(): Pixel {
    const [x = 0, y = 0] = this.map.getView().getCenter() ?? [];
    return [x, -y];
  }

  show(points: Points, selected: string | null, hidden: boolean): void {
    this.points = points;
    const wanted = new Set(points.filter((point) => point.visible && point.uv).map((point) => point.name));
    const there = new globalThis.Map([...this.marks.children].map((mark) => [(mark as HTMLElement).dataset.name!, mark as HTMLButtonElement]));
    for (const [name, mark] of there) if (!wanted.has(name)) mark.remove();
    this.marks.hidden = hidden;
    for (const point of points) {
      if (!wanted.has(point.name)) continue;
      const mark = there.get(point.name) ?? this.mark(point.name);
      mark.className = `mark ${point.origin === "proposed" ? shade(point.confidence) : "sure"}`;
      mark.setAttribute("aria-pressed", String(point.name === selected));
      mark.setAttribute("aria-label", described(point));
    }
    this.arrange();
  }

  private mark(name: string): HTMLButtonElement {
    const mark = document.createElement("button");
    const label = document.createElement("span");
    mark.type = "button";
    mark.tabIndex = -1;
    mark.dataset.name = name;
    label.textContent = titleOf(name);
    mark.append(label);
    mark.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      this.hands.selected(name);
      const at = this.points.find((point) => point.name === name)?.uv;
      if (!at) return;
      const [u, v] = this.pixelAt(event);
      this.drag = { name, by: [at[0] - u, at[1] - v] };
      mark.setPointerCapture(event.pointerId);
      mark.classList.add("held");
    });
    mark.addEventListener("pointermove", (event) => this.dragged(event, false));
    for (const end of ["pointerup", "pointercancel"] as const)
      mark.addEventListener(end, (event) => {
        mark.classList.remove("held");
        this.dragged(event, true);
        this.drag = null;
      });
    this.marks.append(mark);
    return mark;
  }

  private dragged(event: PointerEvent, done: boolean): void {
    if (this.drag === null) return;
    const [u, v] = this.pixelAt(event);
    this.hands.moved(this.drag.name, [u + this.drag.by[0], v + this.drag.by[1]], done);
  }

  private pixelAt(event: MouseEvent): Pixel {
    const [x = 0, y = 0] = this.map.getCoordinateFromPixel(this.map.getEventPixel(event)) ?? [];
    return [x, -y];
  }

  private arrange(): void {
    for (const point of this.points) {
      const mark = [...this.marks.children].find((one) => (one as HTMLElement).dataset.name === point.name) as HTMLElement | undefined;
      const at = point.uv && this.map.getPixelFromCoordinate([point.uv[0], -point.uv[1]]);
      if (mark && at) mark.style.transform = `translate(${at[0]}px, ${at[1]}px)`;
    }
  }

  /** The right button turns the window: up and down its level, left and right its width. */
  private turn(event: PointerEvent): void {
    if (event.button !== 2) return;
    event.stopPropagation();
    this.place.setPointerCapture(event.pointerId);
    const move = (to: PointerEvent) => this.hands.windowed(-to.movementY * 100, to.movementX * 100);
    this.place.addEventListener("pointermove", move);
    this.place.addEventListener("pointerup", () => this.place.removeEventListener("pointermove", move), { once: true });
  }
}

export function described(point: Point): string {
  const how = !point.visible ? "not in the picture" : point.origin === "proposed" ? `confidence ${Math.round(100 * point.confidence)} per cent` : point.origin;
  return `${titleOf(point.name)}, ${how}`;
}

function grown(extent: number[]): number[] {
  const by = Math.max(extent[2]! - extent[0]!, extent[3]! - extent[1]!);
  const found = createEmpty();
  [found[0], found[1], found[2], found[3]] = [extent[0]! - by, extent[1]! - by, extent[2]! + by, extent[3]! + by];
  return found;
}
