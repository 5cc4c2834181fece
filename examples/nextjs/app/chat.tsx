"use client";

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import { type FormEvent, useEffect } from "react";

/** What a tab keeps: the id of its chat, and the messages so far. */
export interface Kept {
  id: string;
  messages: UIMessage[];
}

const transport = new DefaultChatTransport({ api: "/api/chat" });

export function Chat({ id, messages: earlier }: Kept) {
  // With `resume`, an answer that is being written is shown whole after a refresh.
  const { messages, sendMessage, status, error } = useChat({
    id,
    messages: earlier,
    transport,
    throttle: 50,
    resume: true,
  });
  const isLive = status === "submitted" || status === "streaming";

  useEffect(() => {
    sessionStorage.setItem("chat", JSON.stringify({ id, messages }));
  }, [id, messages]);

  function ask(submitted: FormEvent<HTMLFormElement>) {
    submitted.preventDefault();
    const form = submitted.currentTarget;
    sendMessage({ text: String(new FormData(form).get("prompt")) });
    form.reset();
  }

  // `stop` of useChat only leaves; this stops the run at the server, and the stream then ends.
  // While a message is still `submitted`, the server may have no run of it that could be stopped.
  const stop = () => fetch(`/api/chat/${id}/stop`, { method: "POST" });

  return (
    <main>
      {messages.map((message) => (
        <p key={message.id} className={message.role} style={{ whiteSpace: "pre-wrap" }}>
          {message.parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={ask}>
        <input name="prompt" required autoFocus size={50} />{" "}
        <button disabled={isLive}>Ask</button>{" "}
        <button type="button" onClick={stop} disabled={status !== "streaming"}>
          Stop
        </button>
      </form>
    </main>
  );
}
