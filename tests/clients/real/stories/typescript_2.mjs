// A task from its submission to its end, with the TypeScript SDK 2.x. Told as one line of JSON.
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const how = JSON.parse(process.env.STORY);
const transport = how.url
  ? new StreamableHTTPClientTransport(new URL(how.url), { requestInit: { headers: { Authorization: `Bearer ${how.key}` } } })
  : new StdioClientTransport({ command: how.command[0], args: how.command.slice(1), env: process.env, stderr: "inherit" });
const client = new Client({ name: "typescript-sdk-2", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const body = { parameters: { prompt: "a red fox at night", steps: 30 } };
const run = await client.callTool({ name: "run_workflow_by_slug", arguments: { workflow_slug: "text-to-image", body } });
const progress = [];
const waited = await client.callTool(
  { name: "stream_task_events", arguments: run.structuredContent }, { onprogress: (each) => progress.push(each.progress) },
);
const refused = await client.callTool({ name: "get_task", arguments: { task_id: "nobody" } });
console.log(JSON.stringify({
  tools: tools.length, task_status: waited.structuredContent.task_status, progress, refusal: refused.isError && refused.content[0].text,
}));
await client.close();
