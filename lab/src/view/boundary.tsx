import React from "react";

/** Shows a sentence in place of a part that failed: nothing of it reaches JupyterLab. */
export class Boundary extends React.Component<{ children: React.ReactNode; quiet?: boolean }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    console.warn("firstlight-lab: a part of the panel failed", error);
  }

  override render(): React.ReactNode {
    if (!this.state.failed) return this.props.children;
    if (this.props.quiet) return null;
    return (
      <div className="fl-head">
        <p className="fl-prose">
          This view failed; the machine goes on. <code>firstlight status</code> in a terminal tells the same.
        </p>
        <button
          type="button"
          className="fl-button"
          onClick={() => {
            this.setState({ failed: false });
          }}
        >
          Show it again
        </button>
      </div>
    );
  }
}
