export { RawConnection, type RawRequest, type RawResponse, type RawTarget } from "./raw-client.ts";
export {
  loadTraces,
  type TraceExpectation,
  type TraceFile,
  type TraceScenario,
  type TraceStep,
} from "./trace-format.ts";
export { runTrace } from "./trace-runner.ts";
export { TraceMismatch } from "./trace-template.ts";
