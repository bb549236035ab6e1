// Node's `openai`, `@helicone/helpers` and `ai` (the AI SDK): lines of JSON in and out, as tests/clients/answering.py does.

import { createInterface } from "node:readline";
import { createOpenAI } from "@ai-sdk/openai";
import { HeliconeManualLogger } from "@helicone/helpers";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const { PRODUCT_URL, PRODUCT_KEY, FAKE_PROVIDER_URL } = process.env;
console.log = console.error;

const openai = new OpenAI({
  baseURL: `${PRODUCT_URL}/v1/gateway/oai/v1`,
  apiKey: "sk-of-the-provider",
  defaultHeaders: { "Helicone-Auth": `Bearer ${PRODUCT_KEY}` },
  maxRetries: 0,
});
const direct = new OpenAI({ baseURL: `${FAKE_PROVIDER_URL}/v1`, apiKey: "sk-of-the-provider" });
const logger = new HeliconeManualLogger({ apiKey: PRODUCT_KEY, loggingEndpoint: `${PRODUCT_URL}/custom/v1/log` });
const spans = new BatchSpanProcessor(
  new OTLPTraceExporter({ url: `${PRODUCT_URL}/v1/traces`, headers: { Authorization: `Bearer ${PRODUCT_KEY}` } }),
);
new NodeTracerProvider({ spanProcessors: [spans] }).register();
const provider = createOpenAI({ baseURL: `${FAKE_PROVIDER_URL}/v1`, apiKey: "sk-of-the-provider" });

const asked = (text) => [{ role: "user", content: text }];
const counted = (usage) => ({ input: usage.prompt_tokens, output: usage.completion_tokens });

async function chat({ model, text, headers }) {
  const reply = await openai.chat.completions.create({ model, messages: asked(text) }, { headers });
  return { text: reply.choices[0].message.content, ...counted(reply.usage) };
}

async function stream({ model, text, headers }) {
  const body = { model, messages: asked(text), stream: true, stream_options: { include_usage: true } };
  return read(await openai.chat.completions.create(body, { headers }));
}

async function read(chunks) {
  let said = "";
  let usage;
  for await (const chunk of chunks) {
    said += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return { text: said, ...counted(usage) };
}

async function logged({ model, text, headers }) {
  const body = { model, messages: asked(text) };
  const call = async (recorder) => {
    const reply = await direct.chat.completions.create(body);
    recorder.appendResults(reply);
    return reply;
  };
  const reply = await logger.logRequest(body, call, headers);
  return { text: reply.choices[0].message.content, ...counted(reply.usage) };
}

async function logged_stream({ model, text, headers }) {
  const body = { model, messages: asked(text), stream: true, stream_options: { include_usage: true } };
  const reply = await direct.chat.completions.create(body);
  const [ours, theirs] = reply.tee();
  const [answer] = await Promise.all([read(ours), logger.logStream(body, async (recorder) => {
    recorder.attachStream(theirs.toReadableStream());
  }, headers)]);
  return answer;
}

const telemetry = (journey) => ({
  isEnabled: true,
  functionId: "answer",
  metadata: { journey, userId: "ada@example.org", sessionId: `session-${journey}` },
});

async function generated({ journey, model, text }) {
  const options = { model: provider.chat(model), prompt: text, experimental_telemetry: telemetry(journey) };
  const reply = await generateText(options);
  await spans.forceFlush();
  return { text: reply.text, input: reply.totalUsage.inputTokens, output: reply.totalUsage.outputTokens };
}

async function streamed({ journey, model, text }) {
  const options = { model: provider.chat(model), prompt: text, experimental_telemetry: telemetry(journey) };
  const reply = streamText(options);
  let said = "";
  for await (const piece of reply.textStream) said += piece;
  const usage = await reply.totalUsage;
  await spans.forceFlush();
  return { text: said, input: usage.inputTokens, output: usage.outputTokens };
}

async function with_tool({ journey, model, text }) {
  const find_order = tool({
    description: "Finds an order",
    inputSchema: z.object({ order_id: z.string() }),
    execute: async ({ order_id }) => `${order_id} left yesterday.`,
  });
  const reply = await generateText({
    model: provider.chat(model),
    prompt: text,
    tools: { find_order },
    stopWhen: stepCountIs(3),
    experimental_telemetry: telemetry(journey),
  });
  await spans.forceFlush();
  const { inputTokens, outputTokens } = reply.totalUsage;
  return { text: reply.text, input: inputTokens, output: outputTokens, calls: reply.steps.length };
}

const calls = { chat, stream, logged, logged_stream, generated, streamed, with_tool };
for await (const line of createInterface({ input: process.stdin })) {
  const { call, arguments: told } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await calls[call](told) };
  } catch (error) {
    answer = { error: error.constructor.name, message: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
