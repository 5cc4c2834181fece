/** Files for an import; see docs/protocol/resources.md. */

import { keyGiven } from "./gate";

export const KINDS = ["products", "behaviors", "people"] as const;
export type Kind = (typeof KINDS)[number];

interface Report {
  readonly read: number;
  readonly added: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly skipped: number;
  readonly lost: number;
  readonly done: number;
  readonly problems: readonly {
    readonly code: string;
    readonly column: string;
    readonly count: number;
  }[];
}

export interface UploadJson {
  readonly id: string;
  readonly name: string;
  readonly bytes: number;
  readonly status: string;
  readonly time_zone: string;
  readonly reports: Partial<Record<Kind, Partial<Report>>>;
  readonly rejected: number;
  readonly error: string;
}

export interface KindPreview {
  readonly fits: boolean;
  readonly reason?: string;
  /** Our columns; true: required. */
  readonly ours: Readonly<Record<string, boolean>>;
  readonly columns: Readonly<Record<string, string>>;
  readonly rows?: readonly {
    readonly values?: Readonly<Record<string, string>>;
    readonly reason?: string;
  }[];
}

export interface Preview {
  readonly encoding: string;
  readonly headers: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly kinds: Readonly<Record<Kind, KindPreview>>;
  readonly suggested: readonly Kind[];
}

export type Mapping = Partial<Record<Kind, Record<string, string>>>;

/** Send a file, with its progress from 0 to 1; `fetch` does not tell how much has gone out. */
export function sendFile(
  file: File,
  onProgress: (share: number) => void,
): Promise<UploadJson & { readonly preview: Preview }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/imports?name=${encodeURIComponent(file.name.slice(0, 200))}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = () => reject(Object.assign(new Error(""), { code: "offline" }));
    request.onload = () => {
      const { status, response } = request;
      if (status === 201) return resolve(response);
      if (status === 401) return resolve(keyGiven().then(() => sendFile(file, onProgress)));
      const { code = `http_${status}`, message = "" } = response?.error ?? {};
      reject(Object.assign(new Error(message), { code }));
    };
    request.send(file);
  });
}
