/** The server, asked with a token; what it refuses and what is lost on the way are told apart. */

import type { Pixel } from "./points";
import type { Grey } from "./window";

/** The server said no. */
export class Refused extends Error {
  constructor(readonly status: number, why: string) {
    super(why);
  }
}

/** No answer came. */
export class Unreached extends Error {}

export interface Who { readonly name: string; readonly role: string }
export interface Given { readonly id: string; readonly reason: string; readonly strategy: string; readonly lease_until: number }
export interface Found {
  readonly weights: number;
  readonly landmarks: readonly { name: string; uv: Pixel; confidence: number; visible: boolean }[];
}
export interface Said {
  readonly version: number; readonly author: string; readonly event: string; readonly tag: string;
  readonly points: readonly { name: string; uv: Pixel | null }[];
}

const WAIT = 60_000;

export class Api {
  constructor(private readonly token: string) {}

  who = () => this.json<Who>("GET", "whoami");
  strategies = async () => Object.keys((await this.json<{ strategies: object }>("GET", "info/")).strategies);
  next = (strategy: string) => this.json<Partial<Given>>("POST", `activelearning/${encodeURIComponent(strategy)}`, {}, "{}");
  renew = (image: string) => this.json<{ lease_until: number }>("PUT", "activelearning/lease", { image });
  giveBack = (image: string) => this.json("DELETE", "activelearning/lease", { image });
  versions = (image: string) => this.json<Said[]>("GET", "datastore/versions", { image });

  async picture(image: string): Promise<Grey> {
    const answer = await this.send("GET", "datastore/pixels", { image });
    const [rows = 0, columns = 0] = (answer.headers.get("X-Size") ?? "").split(",").map(Number);
    const values = new Uint16Array(await arrived(answer.arrayBuffer()));
    if (values.length !== rows * columns) throw new Unreached("the picture did not arrive whole");
    return { rows, columns, values };
  }

  infer(image: string, fixed: Record<string, Pixel | null>): Promise<Found> {
    const form = new FormData();
    form.append("params", JSON.stringify(Object.keys(fixed).length ? { fixed } : {}));
    return this.json("POST", "infer/hip_landmarks", { image, output: "json" }, form);
  }

  save(image: string, label: object, after: number | null, about: object): Promise<{ version: number }> {
    const form = new FormData();
    form.append("label", new Blob([JSON.stringify(label)], { type: "application/json" }), "label.json");
    form.append("params", JSON.stringify(about));
    const query = { image, tag: "final", ...(after === null ? {} : { after: String(after) }) };
    return this.json("PUT", "datastore/label", query, form);
  }

  private async json<T>(method: string, path: string, query: Record<string, string> = {}, body?: BodyInit): Promise<T> {
    const answer = await this.send(method, path, query, body);
    return (await arrived(answer.json())) as T;
  }

  private async send(method: string, path: string, query: Record<string, string>, body?: BodyInit): Promise<Response> {
    const asked = Object.keys(query).length ? `?${new URLSearchParams(query)}` : "";
    const headers: Record<string, string> = { Authorization: `Bearer ${this.token}` };
    if (typeof body === "string") headers["Content-Type"] = "application/json";
    const answer = await arrived(
      fetch(`../${path}${asked}`, {
        method, headers, body, credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(WAIT),
      }),
    );
    if ([502, 503, 504].includes(answer.status)) throw new Unreached("the server is not ready");
    if (!answer.ok) throw new Refused(answer.status, await why(answer));
    return answer;
  }
}

async function arrived<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new Unreached(error instanceof Error ? error.message : String(error));
  }
}

async function why(answer: Response): Promise<string> {
  try {
    const { detail } = (await answer.json()) as { detail: unknown };
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `status ${answer.status}`;
  }
}
