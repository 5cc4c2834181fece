"use client";

import { useEffect, useState } from "react";
import { Chat, type Kept } from "./chat";

export default function Page() {
  // Read when the page is shown: a server has nothing that a tab keeps.
  const [kept, setKept] = useState<Kept | null>(null);
  useEffect(() => {
    const found = sessionStorage.getItem("chat");
    setKept(found ? JSON.parse(found) : { id: crypto.randomUUID(), messages: [] });
  }, []);
  return kept && <Chat {...kept} />;
}
