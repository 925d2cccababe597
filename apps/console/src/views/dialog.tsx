/** A question to the person at the page, over everything else; one at a time. */
import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { say } from "../state/words.ts";

interface Question {
  readonly title: string;
  readonly detail: ComponentChildren;
  /** The words of the button that goes on. */
  readonly action: string;
  readonly isDangerous: boolean;
  /** What the field holds at first; undefined for a question without a field. */
  readonly initial: string | undefined;
  /** What has to be typed before one can go on. */
  readonly required: string | undefined;
  readonly answer: (text: string | undefined) => void;
}

const question = signal<Question | undefined>(undefined);

type Asked = Pick<Question, "title" | "action"> &
  Partial<Pick<Question, "detail" | "isDangerous" | "initial" | "required">>;

/** Resolves to what was typed, "" where there was no field, undefined when the person left. */
export function ask(asked: Asked): Promise<string | undefined> {
  return new Promise((resolve) => {
    question.value = {
      ...{ detail: undefined, isDangerous: false, initial: undefined, required: undefined },
      ...asked,
      answer: (text) => {
        question.value = undefined;
        resolve(text);
      },
    };
  });
}

function Open({ asked }: { asked: Question }): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const typed = useSignal(asked.initial ?? "");
  const hasField = asked.initial !== undefined || asked.required !== undefined;
  useEffect(() => {
    box.current?.showModal();
  }, []);
  return (
    <dialog
      ref={box}
      aria-labelledby="question"
      onCancel={(event) => {
        event.preventDefault();
        asked.answer(undefined);
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          asked.answer(typed.value);
        }}
      >
        <h2 id="question">{asked.title}</h2>
        {asked.detail}
        {hasField && (
          <input
            class="wide mono"
            aria-labelledby="question"
            autocomplete="off"
            value={typed.value}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
            }}
          />
        )}
        <div class="row">
          <button
            class={asked.isDangerous ? "bad" : "main"}
            disabled={asked.required !== undefined && typed.value !== asked.required}
          >
            {asked.action}
          </button>
          <button
            type="button"
            onClick={() => {
              asked.answer(undefined);
            }}
          >
            {say("cancel")}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Where questions appear. */
export function Dialog(): JSX.Element | null {
  const asked = question.value;
  return asked === undefined ? null : <Open key={asked.title} asked={asked} />;
}
