// In a page of JupyterLab: wait until its notebook can be used, and offer courseLab.
async () => {
  const until = async test => {
    while (!test()) await new Promise(go => setTimeout(go, 50));
    return test();
  };
  const app = await until(() => window.jupyterapp);
  await app.restored;
  await until(() => document.body.dataset.jpThemeName);
  app.shell.collapseLeft();
  const lab = window.courseLab = { panel: null, errors: null };
  const cells = () => lab.panel.content.widgets;
  const finished = () => cells().filter(cell => cell.model.executionCount).length;

  lab.answers = async () => { // what is run before the kernel answers can be lost
    const session = lab.panel.sessionContext;
    const kernel = await until(() => session.session?.kernel);
    await until(() => kernel.connectionStatus === "connected");
    await kernel.requestKernelInfo();
    await until(() => kernel.status === "idle");
  };

  lab.show = async path => { // in place of the notebook that is open, if any
    await lab.panel?.sessionContext.shutdown();
    lab.panel?.dispose();
    lab.panel = path ? await app.commands.execute("docmanager:open", { path })
      : await until(() => app.shell.currentWidget);
    await lab.panel.context.ready;
    await lab.answers();
    return true;
  };

  const runAll = async restart => {
    if (restart) await lab.panel.sessionContext.restartKernel();
    await lab.answers();
    await app.commands.execute("notebook:run-all-cells");
    await lab.answers();
    const outputs = cell => cell.model.outputs?.toJSON() ?? [];
    return cells().flatMap((cell, at) => outputs(cell)
      .filter(output => output.output_type === "error")
      .map(output => `cell ${at}: ${output.ename}: ${output.evalue}`));
  };

  lab.start = restart => { // run all cells; their errors will be in lab.errors
    lab.errors = null;
    runAll(restart).catch(error => [`${error}`]).then(errors => { lab.errors = errors; });
  };
  // wait for the end, or until more or fewer cells have been run than `before`
  lab.news = before => until(() => lab.errors ? { errors: lab.errors }
    : finished() !== before && { finished: finished() });

  return lab.show();
}
