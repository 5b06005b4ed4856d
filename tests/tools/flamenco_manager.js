// What Flamenco's manager gives a job type (`author`, `path`, the job), as far as ours uses it; prints the tasks.
const path = require("path").posix;
const tasks = [];
class Task {
    constructor(name, type) { Object.assign(this, { name, type, commands: [], after: [] }); }
    addCommand(command) { this.commands.push(command); }
    addDependency(task) { this.after.push(task.name); }
}
const author = { Task: (name, type) => new Task(name, type), Command: (name, parameters) => ({ name, parameters }) };
const source = require("fs").readFileSync(process.argv[2], "utf8");
const [type, compile] = new Function("author", "path", source + "; return [JOB_TYPE, compileJob];")(author, path);
compile({ settings: JSON.parse(process.argv[3]), addTask: (task) => tasks.push(task) });
console.log(JSON.stringify({ type, tasks }));
