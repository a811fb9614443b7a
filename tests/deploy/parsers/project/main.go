// Command project prints what a directory with a compose.yaml and a Dockerfile says, as
// JSON: what Docker Compose would start, with all profiles and with .env filled in, and
// the image that it would build.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/marketprism/marketprism/tests/deploy/parsers"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: project DIRECTORY")
		os.Exit(2)
	}
	if err := show(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(ctx context.Context, dir string) error {
	project, err := parsers.Compose(ctx, filepath.Join(dir, "compose.yaml"), cli.WithEnvFiles(), cli.WithDotEnv)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return err
	}
	image, err := parsers.ImageOf(text)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Project     *types.Project `json:"project"`
		Environment types.Mapping  `json:"environment"` // of the secrets that are variables
		Image       parsers.Image  `json:"image"`
	}{project, project.Environment, image})
}
