package parsers

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Compose reads a compose file with all its profiles, as `docker compose config` does;
// the options say where its variables come from.
func Compose(ctx context.Context, file string, variables ...cli.ProjectOptionsFn) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, append(variables, cli.WithProfiles([]string{"*"}))...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return options.LoadProject(ctx)
}
