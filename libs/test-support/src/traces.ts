export {
  RawConnection,
  type RawRequest,
  type RawResponse,
  type RawTarget,
} from "./traces/raw-client.ts";
export {
  loadTraces,
  type TraceExpectation,
  type TraceFile,
  type TraceScenario,
  type TraceStep,
} from "./traces/trace-format.ts";
export { runTrace } from "./traces/trace-runner.ts";
export { TraceMismatch } from "./traces/trace-template.ts";
