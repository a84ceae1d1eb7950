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
  const panel = await until(() => app.shell.currentWidget);
  await panel.context.ready;

  async function answers() { // what is run before the kernel answers can be lost
    const kernel = await until(() => panel.sessionContext.session?.kernel);
    await until(() => kernel.connectionStatus === "connected");
    await kernel.requestKernelInfo();
    await until(() => kernel.status === "idle");
  }

  async function runAll() {
    await panel.sessionContext.restartKernel();
    await answers();
    await app.commands.execute("notebook:run-all-cells");
    await answers();
    const outputs = cell => cell.model.outputs?.toJSON() ?? [];
    const errors = panel.content.widgets.flatMap((cell, at) => outputs(cell)
      .filter(output => output.output_type === "error")
      .map(output => `cell ${at}: ${output.ename}: ${output.evalue}`));
    return { errors };
  }

  await answers();
  window.courseLab = { panel, answers, runAll };
  return true;
}
