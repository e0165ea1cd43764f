"""The address of a user's own MongoDB, from the parts that an Airflow connection keeps."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field

from serving.job.errors import UserError

ENVIRONMENT_PREFIX = "env:"


class MongoConnection(BaseModel):
    """What an Airflow connection says. `options`: its extra; srv true means mongodb+srv."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int | None = None
    login: str = ""
    password: str = Field(default="", repr=False)
    database: str = ""
    options: Mapping[str, str | int | float | bool] = {}

    def compose_uri(self) -> str:
        """mongodb://…, with the password in it: for an environment variable and nowhere else."""
        options = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in self.options.items()
        }
        srv = options.pop("srv", "false") == "true"
        credentials = ""
        if self.login:
            credentials = f"{quote(self.login, safe='')}:{quote(self.password, safe='')}@"
        # A host of several members carries its own ports; mongodb+srv allows none.
        port = f":{self.port}" if self.port and not srv and ":" not in self.host else ""
        query = f"?{urlencode(options)}" if options else ""
        scheme = "mongodb+srv" if srv else "mongodb"
        return f"{scheme}://{credentials}{self.host}{port}/{quote(self.database, safe='')}{query}"


def read_mongo_variable(connection: str, environment: Mapping[str, str]) -> str:
    """The address in env:VARIABLE; UserError, which does not show it, where there is none."""
    name = connection.removeprefix(ENVIRONMENT_PREFIX)
    uri = environment.get(name, "")
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        told = "is not set" if not uri else "does not hold such an address"
        raise UserError(
            f"The environment variable {name} {told}: set it to mongodb://USER:PASSWORD@HOST:PORT."
        )
    return uri
