/** Images that are to go with the next question: attached, pasted, dropped, or of an earlier one. */

import { type Ref, ref } from "vue";
import type { StoredImage } from "@/data/debug";

export const IMAGE_TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
/** Of one image, in bytes; the server's own limit. */
const MAX_IMAGE_BYTES = 5 * 1024 * 1024;

export interface Attached {
  readonly name: string;
  /** Where the page reads it: a data URL, or an address of this server. */
  readonly url: string;
  /** As the request has it. */
  readonly sent: string | { readonly sha256: string };
}

/** Why an image is not taken. */
type Refusal = "type" | "size" | "count" | "read";

export interface Images {
  readonly list: Ref<readonly Attached[]>;
  /** Take files as far as they are images and there is room; return why one was not taken. */
  take(files: Iterable<File>, most: number): Promise<Refusal | null>;
  drop(image: Attached): void;
}

const imageUrl = (sha256: string) => `/api/images/${sha256}`;

export function stored(images: readonly StoredImage[] | null): Attached[] {
  return (images ?? []).map(({ sha256 }) => ({
    name: sha256.slice(0, 6),
    url: imageUrl(sha256),
    sent: { sha256 },
  }));
}

export function useImages(): Images {
  const list = ref<readonly Attached[]>([]);

  async function take(files: Iterable<File>, most: number): Promise<Refusal | null> {
    let refusal: Refusal | null = null;
    for (const file of files) {
      const why = refusalOf(file) ?? (list.value.length >= most ? "count" : null);
      const url = why === null ? await dataUrl(file) : null;
      if (url === null) refusal = why ?? "read";
      else list.value = [...list.value, { name: file.name, url, sent: url }];
    }
    return refusal;
  }

  const drop = (image: Attached) => {
    list.value = list.value.filter((each) => each !== image);
  };
  return { list, take, drop };
}

function refusalOf(file: File): Refusal | null {
  if (!IMAGE_TYPES.includes(file.type)) return "type";
  return file.size > MAX_IMAGE_BYTES ? "size" : null;
}

function dataUrl(file: File): Promise<string | null> {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => resolve(null);
    reader.readAsDataURL(file);
  });
}
