// SPDX-License-Identifier: GPL-3.0-or-later
//
// A job type for Flamenco 3: copy it into the folder `scripts` beside the manager.  In flamenco-manager.yaml:
//
//     variables:
//       splatsmith: {values: [{platform: linux, value: /opt/splatsmith/bin/splatsmith}]}
//       farm:       {is_twoway: true, values: [{platform: linux, value: /mnt/farm}, {platform: windows, value: 'F:\'}]}
//
// Paths below the two-way variable are rewritten by Flamenco for each worker.  Only workers with the tag or task type
// `splatsmith` get the seeds.  A task that is run again goes on from where it stopped.
const JOB_TYPE = {
    label: "Splatsmith",
    description: "A sentence to Gaussian splats and a textured mesh: a task a seed, and one for the contact sheet",
    settings: [
        { key: "job_file", type: "string", subtype: "file_path", required: true,
          description: "The job.json, on the shared storage" },
        { key: "out", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the results, on the shared storage; a folder a seed" },
        { key: "first_seed", type: "int32", default: 0, propargs: { min: 0 }, description: "The first seed" },
        { key: "variations", type: "int32", default: 4, propargs: { min: 1, max: 1000 }, description: "Number of seeds" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const sheet = author.Task("contact-sheet", "misc");
    const folders = [];
    for (let i = 0; i < settings.variations; i++) {
        const seed = settings.first_seed + i;
        const folder = path.join(settings.out, `seed-${seed}`);
        const task = author.Task(`seed-${seed}`, "splatsmith");
        task.addCommand(run(["generate", "--resume", "--job", settings.job_file, "--seed", `${seed}`, "--out", folder]));
        sheet.addDependency(task);
        job.addTask(task);
        folders.push(folder);
    }
    sheet.addCommand(run(["evaluate", "--no-samples", "--out", path.join(settings.out, "evaluation")].concat(folders)));
    job.addTask(sheet);
}

function run(args) {
    return author.Command("exec", { exe: "{splatsmith}", args: args });
}
